"""Begin and Commit read in one step, frame and message together: in small transactions they are two messages of three.

The plain way is `parse_frame` and `parse_message`; a frame of another length than these goes that way, and is refused
there. A property test holds both equal.
"""

from __future__ import annotations

import struct
from typing import Final

BEGIN: Final = 0x42
COMMIT: Final = 0x43

BEGIN_FRAME: Final = struct.Struct(">cQQqcQqI")
"""XLogData's tag, start, end and clock; then `B`, final LSN, commit time (microseconds since 2000), xid."""

COMMIT_FRAME: Final = struct.Struct(">cQQqcBQQq")
"""XLogData's tag, start, end and clock; then `C`, flags, commit LSN, end LSN, commit time (microseconds since 2000)."""
