"""What things cost and what they bring: prices as dated data, and the statement of a workflow.

Above: app, cli. Below: ledger, config, core.
"""

from .pnl import statements
from .prices import PriceBook
from .statement import Report, Statement, report, total
from .worth import Worth

__all__ = ["PriceBook", "Report", "Statement", "Worth", "report", "statements", "total"]
