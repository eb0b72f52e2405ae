"""The HTTP faces. Above: cli. Below: app and all that it imports."""
