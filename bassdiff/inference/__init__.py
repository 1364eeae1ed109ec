"""A mix in, a bass out: the inputs, the generator and the files that it writes."""
