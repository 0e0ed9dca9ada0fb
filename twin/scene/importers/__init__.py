"""Importers: scene folders from floor plans, street maps and meshes of others."""
