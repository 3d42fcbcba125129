"""Seeded generators of labelled 128x128 pictures: photographs, scenes, text, charts."""
