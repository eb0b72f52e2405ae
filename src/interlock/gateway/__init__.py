"""One model call from admission to settlement; `chat.py` is the walk. Above: agents. Below: ledger, config, core."""
