"""What the agent of every peer has: its instructions and four tools."""

INSTRUCTIONS = "You answer the clients of a repair service. Be brief and exact."


async def find_customer(name: str) -> str:
    """Find a customer by name.

    Args:
        name: the customer's name
    """
    return f"{name} is customer 17."


async def list_orders(customer: int) -> str:
    """List a customer's open orders.

    Args:
        customer: the customer's number
    """
    return f"Customer {customer} has the order 4711."


async def read_order(number: int) -> str:
    """Read an order.

    Args:
        number: the order's number
    """
    return f"Order {number}: repair of a conveyor in Stuttgart."


async def book_visit(order: int, day: str) -> str:
    """Book the visit of a crew.

    Args:
        order: the order's number
        day: a day of the week
    """
    return f"A crew comes on {day} at eight for order {order}."


TOOLS = [find_customer, list_orders, read_order, book_visit]
