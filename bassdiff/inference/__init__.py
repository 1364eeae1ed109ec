"""A mix in, a bass out: what people hand in, the generator, and the files that they get."""
