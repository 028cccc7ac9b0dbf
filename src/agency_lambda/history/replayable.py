"""The agents' memory without what providers refuse: calls without outputs, equal ids, foreign reasoning."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence

from agency_lambda.history import server_approvals
from agency_lambda.history.items import Item, as_function, is_call, is_made, is_output, plain, with_metadata
from agency_lambda.protocol.copies import copy_json


def storable(items: Sequence[Item], awaited: Collection[str] = (), start: int = 0) -> list[Item]:
    """awaited: ids of calls that the client answers."""
    forms = server_approvals.consistent(items, [storable_form(item) for item in items])
    forms = _consistent(items, forms, awaited, None)
    return [form for form in forms[start:] if form]


def storable_form(item: Item) -> Item | None:
    """Return one item without regard to others; None if nothing is left."""
    form = _lasting(plain(item))
    return form and with_metadata(form, item)


def restored(items: Sequence[Item], forms: list[Item | None], awaited: Collection[str]) -> list[Item]:
    """Return copies of what `storable` returns. forms: of the items, not changed."""
    forms = server_approvals.consistent(items, forms)
    return [copy_json(form) for form in _consistent(items, forms, awaited, None) if form]


def sendable(
    items: Sequence[Item],
    origin: str,
    *,
    chat: bool,
    longest_id: int | None,
    unreadable: Collection[str] | None = (),
) -> list[Item]:
    """Return what a model is sent.

    origin: the model. longest_id: of a call. unreadable: refused encrypted contents; None for no reasoning.
    """
    forms = [_readable(plain(item), item.get("origin"), origin, unreadable) for item in items]
    forms = server_approvals.consistent(items, forms, lambda request: not chat and request.get("origin") == origin)
    sent = _ordered(_consistent(items, forms, (), longest_id), chat)
    return [as_function(form) for form in sent] if chat else list(sent)


def _lasting(form: Item | None) -> Item | None:
    thought = form is not None and form["type"] == "reasoning" and not form.get("encrypted_content")
    return None if thought else form


def _readable(form: Item | None, made_by: str | None, origin: str, unreadable: Collection[str] | None) -> Item | None:
    if form is None or made_by is None:
        return form
    bound = form["type"] in ("reasoning", "compaction")
    if made_by == origin:
        refused = bound and (unreadable is None or form.get("encrypted_content") in unreadable)
        return None if refused else form
    return None if bound else {key: value for key, value in form.items() if key not in ("phase", "provider_data")}


def _consistent(
    items: Sequence[Item], forms: list[Item | None], awaited: Collection[str], longest_id: int | None
) -> list[Item | None]:
    threads: defaultdict[object, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        threads[_thread(item)].append(number)
    for thread, numbers in threads.items():
        _pair(forms, numbers, awaited if thread is None else (), longest_id)
        if any(form["type"] == "reasoning" for number in numbers if (form := forms[number])):
            _drop_reasoning(items, forms, numbers)
    return forms


def _thread(item: Item) -> object:
    caller = item.get("callerAgent")
    return None if caller is None else frozenset((caller, item.get("agent")))


def _pair(forms: list[Item | None], numbers: list[int], awaited: Collection[str], longest_id: int | None) -> None:
    waiting: defaultdict[tuple[str, object], deque[int]] = defaultdict(deque)
    pairs: list[tuple[int, int | None]] = []
    for number in numbers:
        form = forms[number]
        kind = form["type"] if form else ""
        if form and is_call(kind):
            waiting[kind, form.get("call_id")].append(number)
        elif form and is_output(kind):
            calls = waiting[kind.removesuffix("_output"), form.get("call_id")]
            if calls:
                pairs.append((calls.popleft(), number))
            else:
                forms[number] = None
    for (_, call_id), calls in waiting.items():
        for number in calls:
            if call_id in awaited:
                pairs.append((number, None))
            else:
                forms[number] = None
    _rename(forms, pairs, longest_id)


def _rename(forms: list[Item | None], pairs: list[tuple[int, int | None]], longest_id: int | None) -> None:
    used: set[object] = set()
    for call, output in sorted(pairs, key=lambda pair: (pair[1] is not None, pair[0])):  # the client knows the awaited
        call_id = (forms[call] or {}).get("call_id")
        unique_id = _unused(call_id, used, longest_id)
        used.add(unique_id)
        if unique_id != call_id:
            for number in (call, output):
                if number is not None:
                    forms[number] = {**(forms[number] or {}), "call_id": unique_id}


def _unused(call_id: object, used: Collection[object], longest_id: int | None) -> object:
    if call_id and call_id not in used and (longest_id is None or len(str(call_id)) <= longest_id):
        return call_id
    number = len(used)
    while (own := f"call_{hashlib.sha256(f'{call_id}/{number}'.encode()).hexdigest()[:24]}") in used:
        number += 1
    return own


def _drop_reasoning(items: Sequence[Item], forms: list[Item | None], numbers: list[int]) -> None:
    follows = False
    for number in reversed(numbers):
        form = forms[number]
        if form and form["type"] == "reasoning" and not follows:
            forms[number] = form = None
        made = form is not None and (form["type"] in ("reasoning", "compaction") or is_made(form))
        follows = made and all(_same(form, items[number], name) for name in ("type", "name", "arguments"))


def _same(form: Item | None, item: Item, name: str) -> bool:
    return (form or {}).get(name) == (item.get(name) or ("message" if name == "type" else None))


def _ordered(forms: Sequence[Item | None], chat: bool) -> Iterator[Item]:
    """Yield each output behind the calls of its answer."""
    outputs = {form["call_id"]: form for form in forms if form and is_output(form["type"])}
    answer: list[Item] = []
    answered = False
    for form in forms:
        if form is None:
            continue
        if is_output(form["type"]):
            answered = True
            continue
        made = form["type"] == "reasoning" or is_made(form)
        if answer and (answered or not made):
            yield from _answer(answer, outputs, chat)
            answer = []
        answered = False
        if made:
            answer.append(form)
        else:
            yield form
    yield from _answer(answer, outputs, chat)


def _answer(answer: list[Item], outputs: dict[str, Item], chat: bool) -> Iterator[Item]:
    calls = [form for form in answer if is_call(form["type"])]
    yield from sorted(answer, key=lambda form: is_call(form["type"])) if chat else answer
    for call in calls:
        yield outputs[call["call_id"]]
