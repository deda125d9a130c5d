"""The subcommands of ``overview``, one module each."""
