"""The template tags: `{% load cometify %}`."""
