"""The tree of a run, from the rows of its journal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agency_lambda.record import nodes
from agency_lambda.record.nodes import Node
from agency_lambda.record.rows import (
    ApprovalRow,
    MessageRow,
    ModelCallRow,
    Status,
    ToolCallRow,
    is_call,
    names_of_call,
)
from agency_lambda.record.run_record import RunRecord

_STATUS_OF_MESSAGE = {"completed": "completed", "queued": "in_progress", "in_progress": "in_progress"}

MicroDollars = Callable[[str, Mapping[str, Any]], int | None]
"""Return what a call of a model cost by the usage of its answer; None if the model has no price."""


@dataclass(frozen=True, kw_only=True)
class TraceOptions:
    """with_contents: include prompts, arguments and outputs, for operators."""

    price: MicroDollars = lambda model, usage: None
    with_contents: bool = False


class Tree:
    """asked: the input of its first agent. since: when the root response began, if it continues another's journal."""

    def __init__(self, record: RunRecord, asked: Any, *, since: float, options: TraceOptions) -> None:
        rows, response = record.rows, record.stored.response
        self._record, self._rows, self._scopes, self._tools = record, rows, {**rows.scopes}, {**rows.tools}
        self._response, self._input = response, asked
        self._since, self._options = since, options
        self._prompts = {row.instructions_digest: row.instructions for row in rows.calls if row.instructions}
        self._client_tools = {tool["name"] for tool in response["tools"] if "name" in tool}
        self._callers = {name: row.agent for name, row in rows.tools.items()}
        self._callers |= {
            name: scope[0].within.partition("/")[0] for name, scope in rows.scopes.items() if scope[0].within
        }

    def root(self) -> Node:
        whole = nodes.summed(self._agent()) | {"status": self._response["status"]}
        return whole if self._is_over else whole | {"ended_at": None}

    def recipients(self) -> list[Node]:
        """Return the agent that works on a child run's message; none before its first call."""
        agent = self._agent()
        if not self._is_over:
            agent["status"] = "in_progress"
        return [agent] if agent["children"] else []

    @property
    def addressed(self) -> str:
        """Return the agent that was asked by its name, "" for an agency's own."""
        sending = self._record.stored.sending
        return sending.message.recipient if sending else self._response["model"].partition("/")[2]

    def _agent(self) -> Node:
        agency = self._response["model"].partition("/")[0]
        children = self._agents(self._scopes.pop("", []), self.addressed or agency, self._input)
        root = children[0] if children else nodes.agent(self.addressed or None, [], None)
        while self._scopes:  # the answer that called was deleted: its agent ended the attempt with it
            orphans = self._scopes.pop(next(iter(self._scopes)))
            root["children"] += self._agents(orphans, orphans[0].agent, None)
        root["children"] += [self._finished_tool(name) for name in [*self._tools]]
        return root

    def _agents(self, scope: list[ModelCallRow], name: str, asked: Any) -> list[Node]:
        """Return the scope's agent, with others that it calls (judges, after handoffs) as children."""
        named = [(row.agent or self._agent_of(row), row.identity) for row in scope]
        main = next((agent for agent, identity in named if not identity), "") or name
        groups: dict[tuple[str, str], list[ModelCallRow]] = {}
        for row, (agent, identity) in zip(scope, named, strict=True):
            groups.setdefault((agent or main, identity), []).append(row)
        if not groups:
            return []
        first = (main, "") if (main, "") in groups else next(iter(groups))
        children = self._calls(first[0], groups.pop(first), scope, asked)
        for (agent, _), rows in groups.items():
            children.append(nodes.agent(agent, self._calls(agent, rows, scope, None), None))
        return [nodes.agent(first[0], nodes.in_order(children), None)]

    def _agent_of(self, row: ModelCallRow) -> str:
        # An earlier version's row: the keys of its tool calls begin with the agent.
        names = [name for number in range(len(row.output)) for name in names_of_call(row, number)]
        return next((self._callers[name] for name in names if name in self._callers), "")

    def _calls(self, agent: str, rows: list[ModelCallRow], scope: list[ModelCallRow], asked: Any) -> list[Node]:
        found: list[Node] = []
        for row in rows:
            call = nodes.model_call(agent, row, self._replayed(row), self._usd(row))
            if row.status == "in_progress":
                call |= {"replayed": False, "status": "incomplete" if self._is_over else row.status}
            if self._options.with_contents:
                instructions = self._prompts.get(row.instructions_digest)
                call |= nodes.contents_of_model_call(row, instructions, row.input if asked is None else asked)
            calls = [
                self._called(agent, row, number, is_followed=row is not rows[-1], scope=scope)
                for number, item in enumerate(row.output)
                if is_call(item) or self._approvals(row, number)
            ]
            asked = nodes.outputs_of(calls)
            found += [call, *calls]
        return found

    def _called(
        self, agent: str, row: ModelCallRow, number: int, *, is_followed: bool, scope: list[ModelCallRow]
    ) -> Node:
        item, names = row.output[number], names_of_call(row, number)
        tool = next((self._tools.pop(name) for name in names if name in self._tools), None)
        sent = nodes.message_arguments(item.get("arguments")) if tool is None else None
        answered = next((self._rows.messages[name] for name in names if name in self._rows.messages), MessageRow())
        if answered.run:
            child = next((found for name in names if (found := self._record.children.get(name))), None)
            node = self._sent(agent, sent or {}, answered, child)
        else:
            node = self._made(agent, row, number, tool, sent)
            is_followed = is_followed or (node["name"].startswith("transfer_to_") and row is not scope[-1])
            node["status"] = "completed" if tool else self._status(row, node, item, is_followed=is_followed)
        node["_began"] = answered.sent_at or node["started_at"] or row.ended_at or row.began
        approvals = self._approvals(row, number)
        if approvals:
            node["approvals"] = [nodes.approval(each, with_contents=self._options.with_contents) for each in approvals]
        if self._options.with_contents:
            output = tool.output if tool else answered.output
            node |= nodes.contents_of_call(item, output, node["children"], approvals)
        return node

    def _made(
        self, agent: str, row: ModelCallRow, number: int, tool: ToolCallRow | None, sent: dict[str, Any] | None
    ) -> Node:
        """Return a call that this run has made. sent: its arguments, if it is a message."""
        names = names_of_call(row, number)
        within = next((self._scopes.pop(name) for name in names if name in self._scopes), [])
        children = self._agents(within, sent["recipient_agent"] if sent else agent, sent and sent.get("message"))
        name = nodes.called_name(row.output[number])
        if sent is not None:
            return nodes.message(agent, children[0]["name"] if children else name, children)
        return nodes.tool_call(agent, name, tool, self._replayed(tool) if tool else None, children)

    def _sent(self, agent: str, sent: Mapping[str, Any], row: MessageRow, child: RunRecord | None) -> Node:
        """Return a message that a child run works on, with what it has done, as far as that is known."""
        if child is None:  # it was deleted, or is not shown; its sender has its usage
            node = nodes.message(agent, str(sent.get("recipient_agent")), [])
            node |= {name: row.usage.get(name) or 0 for name in ("input_tokens", "output_tokens")}
            node["usd"] = self._usd_by_model(row.by_model)
            status = "in_progress" if row.output is None else "completed"
        else:
            tree = Tree(child, sent.get("message"), since=self._since, options=self._options)
            node = nodes.message(agent, tree.addressed or "", tree.recipients())
            status = child.stored.response["status"]
        node["status"] = _STATUS_OF_MESSAGE.get(status, "failed")
        if self._is_over and node["status"] == "in_progress":
            node["status"] = "incomplete"
        return node | {"run": nodes.run(row, child)}

    def _approvals(self, row: ModelCallRow, number: int) -> list[ApprovalRow]:
        return [each for name in names_of_call(row, number) for each in self._rows.approvals.get(name, ())]

    def _status(self, row: ModelCallRow, node: Node, item: Mapping[str, Any], *, is_followed: bool) -> Status:
        if item["type"] == "mcp_approval_request":  # the call of the provider's server is an item of the next answer
            return "completed" if is_followed else "incomplete" if self._is_over else "in_progress"
        if item["type"] != "function_call":
            return "failed" if item.get("status") == "failed" else "completed"  # the provider has made it
        if row.status == "incomplete":
            return "incomplete"  # half a call is not made
        is_answered = is_followed or self._response["status"] == "completed"
        if node["type"] == "message" or node["name"].startswith("transfer_to_"):
            if is_answered:
                return self._message_status(row, node)
        elif node["name"] in self._client_tools:
            return "completed"
        elif is_answered:
            return "incomplete"  # no such tool, or max_tool_calls was used up
        return "incomplete" if self._is_over else "in_progress"

    def _message_status(self, row: ModelCallRow, node: Node) -> Status:
        if node["children"]:
            return "failed" if node["children"][-1]["status"] == "failed" else "completed"
        # It was refused; but of some earlier versions nobody knows who was asked.
        is_refused = row.started_at is not None and not node["name"].startswith("transfer_to_")
        return "failed" if is_refused else "completed"

    def _finished_tool(self, name: str) -> Node:
        tool = self._tools.pop(name)
        return nodes.tool_call(tool.agent, tool.tool or "", tool, self._replayed(tool), [])

    def _replayed(self, row: ModelCallRow | ToolCallRow) -> bool | None:
        if row.attempt is None:
            return None
        return row.attempt < self._record.attempts or (row.started_at or 0.0) < self._since

    def _usd(self, row: ModelCallRow) -> float | None:
        if row.status == "failed" or not row.usage:
            return 0.0
        cost = self._options.price(row.model, row.usage) if row.model else None
        return None if cost is None else cost / 1_000_000

    def _usd_by_model(self, by_model: Mapping[str, Mapping[str, int]]) -> float | None:
        costs = [self._options.price(model, {**each, "input_tokens_details": each}) for model, each in by_model.items()]
        return None if None in costs else sum(cost or 0 for cost in costs) / 1_000_000

    @property
    def _is_over(self) -> bool:
        return self._record.is_over
