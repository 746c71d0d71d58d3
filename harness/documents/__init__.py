"""YAML and JSON documents as values with positions, with everything that is wrong in them.

``source`` reads a text, ``yaml_errors`` has the parser's errors in plain words, ``problems``
collects what is wrong, and ``kubernetes_yaml`` finds what Kubernetes would read in another way.
``objects`` finds the objects in documents, ``written`` where their parts stand, ``comments`` the
comments that begin with a word.
"""
