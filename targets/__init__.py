"""Where it is measured: profiles, transports, and the parsers of what devices say."""
