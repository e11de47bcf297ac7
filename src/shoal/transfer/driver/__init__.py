"""Files on disk: parts that grow, copies that are read and checked. All of it runs in threads."""

from shoal.transfer.driver.copies import check_copy, read_copy, remove_copy, stamp_of, take_stamp
from shoal.transfer.driver.parts import PartFile, part_path, remove_part

__all__ = [
    "PartFile",
    "check_copy",
    "part_path",
    "read_copy",
    "remove_copy",
    "remove_part",
    "stamp_of",
    "take_stamp",
]
