"""Forms made from settings models."""

from napari_pytc.ui.widgets.forms.form import SettingsForm

__all__ = ["SettingsForm"]
