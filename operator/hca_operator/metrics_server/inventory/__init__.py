"""Which objects and pods there are to be measured."""
