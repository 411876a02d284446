"""One file per command; `app` puts them together and maps errors to exit codes."""
