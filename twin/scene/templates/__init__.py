"""Scenes made from a template: ``twin scene new``."""

from twin.scene.templates.new import TEMPLATES, new_scene

__all__ = ["TEMPLATES", "new_scene"]
