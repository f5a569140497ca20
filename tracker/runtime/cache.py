"""Where the project keeps files that can be made again: the folder of the kernels, which need one, too."""

from kernels.cache import cache_folder, made_file

__all__ = ["cache_folder", "made_file"]
