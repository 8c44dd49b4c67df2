"""Resources to a `Plan` and diagnostics. Pure: no files, no clock, no network.

Start at `aigw.compile.compiler.compile_plan`.
"""
