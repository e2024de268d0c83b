"""The console: the mesh in a terminal. Inputs are folded to a picture (model), panes show it.

Nothing here loads Textual but the modules that draw; those stay in this one package.
"""
