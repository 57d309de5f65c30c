# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""The store of a stopped server, opened behind its back: what no checksum of a disk can find.

    alter(keys_folder(server.data, "store"), b"K", lambda key, value: value.replace(b"old", b"new"))
"""
import ctypes

_size = ctypes.c_size_t
_text = ctypes.c_char_p
_pointer = ctypes.c_void_p


def _library():
    library = ctypes.CDLL("librocksdb.so.7.8")
    for name, result, *arguments in (
            ("options_create", _pointer),
            ("open", _pointer, _pointer, _text, ctypes.POINTER(_text)),
            ("close", None, _pointer),
            ("readoptions_create", _pointer),
            ("writeoptions_create", _pointer),
            ("flushoptions_create", _pointer),
            ("create_iterator", _pointer, _pointer, _pointer),
            ("iter_destroy", None, _pointer),
            ("iter_seek", None, _pointer, _text, _size),
            ("iter_valid", ctypes.c_ubyte, _pointer),
            ("iter_next", None, _pointer),
            ("iter_key", _pointer, _pointer, ctypes.POINTER(_size)),
            ("iter_value", _pointer, _pointer, ctypes.POINTER(_size)),
            ("put", None, _pointer, _pointer, _text, _size, _text, _size, ctypes.POINTER(_text)),
            ("delete", None, _pointer, _pointer, _text, _size, ctypes.POINTER(_text)),
            ("flush", None, _pointer, _pointer, ctypes.POINTER(_text))):
        function = getattr(library, f"rocksdb_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


def alter(folder, prefix, change):
    """Calls change(key, value) for each record whose key begins so. What it returns is the new
    value; None: the record goes; the same value: nothing happens. Returns how many were changed."""
    rocks = _library()
    error = _text()

    def check():
        if error.value is not None:
            raise OSError(error.value.decode("utf-8", "replace"))

    db = rocks.rocksdb_open(rocks.rocksdb_options_create(), folder.encode(), ctypes.byref(error))
    check()
    found = []
    iterator = rocks.rocksdb_create_iterator(db, rocks.rocksdb_readoptions_create())
    rocks.rocksdb_iter_seek(iterator, prefix, len(prefix))
    size = _size()
    while rocks.rocksdb_iter_valid(iterator):
        key = ctypes.string_at(rocks.rocksdb_iter_key(iterator, ctypes.byref(size)), size.value)
        if not key.startswith(prefix):
            break
        value = ctypes.string_at(rocks.rocksdb_iter_value(iterator, ctypes.byref(size)), size.value)
        other = change(key, value)
        if other != value:
            found.append((key, other))
        rocks.rocksdb_iter_next(iterator)
    rocks.rocksdb_iter_destroy(iterator)
    options = rocks.rocksdb_writeoptions_create()
    for key, other in found:
        if other is None:
            rocks.rocksdb_delete(db, options, key, len(key), ctypes.byref(error))
        else:
            rocks.rocksdb_put(db, options, key, len(key), other, len(other), ctypes.byref(error))
        check()
    rocks.rocksdb_flush(db, rocks.rocksdb_flushoptions_create(), ctypes.byref(error))
    check()
    rocks.rocksdb_close(db)
    return len(found)
