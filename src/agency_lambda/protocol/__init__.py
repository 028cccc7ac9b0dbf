"""What clients speak: Open Responses, as OpenAI's Responses and Conversations APIs have it.

`request` is what may be asked, `items` what may be sent in, `resource` the response object, `output` its items and
events as they grow, `stream` the events as server-sent events. Nothing here knows an agency or a store.
"""
