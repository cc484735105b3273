"""The only door to the installed Ultralytics: import it offline, build with it, run its command."""
