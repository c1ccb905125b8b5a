"""Writes numpy.npz with NumPy (compressed): one array of each type that is read, in several layouts.

    python3 numpy_files.py
"""
import numpy as np

x = np.array([[1.5, -2.0, 0.25], [65504.0, -0.5, 3.0]])
i = np.array([[1, -2, 3], [100, -128, 127]])
np.savez_compressed("numpy.npz", f8=x, f4=x.astype("f4"), f2=x.astype("f2"), big=x.astype(">f4"), fortran=np.asfortranarray(x.astype("f4")),
                    i8=i.astype("i8"), i1=i.astype("i1"), i2=i.astype(">i2"), u1=np.abs(i).astype("u1"), u4=np.abs(i).astype("u4"),
                    b=i > 0, scalar=np.float32(7), empty=np.zeros((0, 3), "f4"), cube=np.asfortranarray(np.arange(24).reshape(2, 3, 4)))
