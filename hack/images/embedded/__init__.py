"""Entry points of the embedded PostgreSQL, Redis and S3 images: what a first run needs, standard library only.

They are copied into the images as single files, so they import nothing from this package.
"""
