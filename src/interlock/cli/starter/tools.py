"""The workspace's tools: plain functions. Their signatures become the schemas that arguments are checked against."""

from interlock import ToolError, tool

ORDERS = {"AB-1001": "on its way", "AB-1002": "being packed", "AB-1003": "delivered", "AB-1004": "on its way"}


@tool(name="orders.get", effect="none")
def orders_get(order_id: str) -> dict[str, str]:
    """Status of one order."""
    order_id = order_id.upper()
    if order_id not in ORDERS:
        raise ToolError("not_found", f"There is no order {order_id}.")
    return {"id": order_id, "status": ORDERS[order_id]}
