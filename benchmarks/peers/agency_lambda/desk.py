"""One agent with four tools, as its peers have them."""

from typing import Any

from agency_swarm import Agency, Agent, function_tool


@function_tool
async def find_customer(name: str) -> str:
    """Find a customer by name.

    Args:
        name: the customer's name
    """
    return f"{name} is customer 17."


@function_tool
async def list_orders(customer: int) -> str:
    """List a customer's open orders.

    Args:
        customer: the customer's number
    """
    return f"Customer {customer} has the order 4711."


@function_tool
async def read_order(number: int) -> str:
    """Read an order.

    Args:
        number: the order's number
    """
    return f"Order {number}: repair of a conveyor in Stuttgart."


@function_tool
async def book_visit(order: int, day: str) -> str:
    """Book the visit of a crew.

    Args:
        order: the order's number
        day: a day of the week
    """
    return f"A crew comes on {day} at eight for order {order}."


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """One agent."""
    agent = Agent(
        name="Desk",
        instructions="You answer the clients of a repair service. Be brief and exact.",
        model="gpt-4.1",
        tools=[find_customer, list_orders, read_order, book_visit],
    )
    return Agency(agent, load_threads_callback=load_threads_callback, save_threads_callback=save_threads_callback)


FACTORIES = {"desk": create_agency}
