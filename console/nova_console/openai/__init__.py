"""The models of a mesh behind the protocol of OpenAI, for clients that know nothing of meshes.

A client of a node like any other: what it is asked becomes tasks of llm.chat and llm.embed. Only
`app` and `serve` know HTTP; the rest turns values into values.
"""
