"""Who talks to whom on the agreement desk."""

from agency_swarm import Agency
from agency_swarm.utils.thread import ThreadLoadCallback, ThreadSaveCallback

from agreement_desk.agreement_manager import create_agreement_manager
from agreement_desk.communication_agent import create_communication_agent
from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent import create_planfix_agent


def create_agency(
    load_threads_callback: ThreadLoadCallback | None = None,
    save_threads_callback: ThreadSaveCallback | None = None,
) -> Agency:
    """Build a new agency of new agents.

    Raises:
        PlanfixError: Planfix is configured by halves; the message names the missing variable.
    """
    open_planfix()  # no connection yet: only refuses to start half-configured
    manager = create_agreement_manager()
    planfix = create_planfix_agent()
    communication = create_communication_agent()
    return Agency(
        manager,
        communication_flows=[(manager, planfix), (manager, communication), (communication, planfix)],
        name="AgreementDesk",
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
