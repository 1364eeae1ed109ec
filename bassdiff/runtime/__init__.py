"""Services of the machine: long jobs, the compile cache, atomic files, errors."""
