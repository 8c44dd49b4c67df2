"""Resources that users write: one module per kind, and the loader that reads them from YAML.

Import `aigw.api.load`; kinds are imported when a document needs them.
"""
