"""One settled event per call: recording, reading, roll-ups. Above: gateway, tools, economics. Below: config, core."""
