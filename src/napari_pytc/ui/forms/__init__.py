"""Forms made from settings models."""

from napari_pytc.ui.forms.form import SettingsForm

__all__ = ["SettingsForm"]
