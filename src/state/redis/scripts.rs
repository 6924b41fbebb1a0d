//! The operations as Redis runs them: one script each, so that each is one atomic act.
//!
//! Every script says `#!lua`, which makes the server refuse it as a whole, before it has done anything, where it may not write
//! (a replica, a full memory, a failed snapshot). Those that free memory or only look are allowed when memory is full.
//!
//! Never here: a script that reads a key which is not handed to it.

use redis::Script;

/// One operation, preceded by what all of them begin with.
macro_rules! operation {
    ($flags:literal, $file:literal) => {
        Script::new(concat!("#!lua", $flags, "\n", include_str!("scripts/prelude.lua"), include_str!($file)))
    };
}

/// All operations.
pub(super) struct Scripts {
    pub(super) burn: Script,
    pub(super) read: Script,
    pub(super) write: Script,
    pub(super) remove: Script,
    pub(super) append: Script,
    pub(super) since: Script,
    pub(super) greet: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            burn: operation!("", "scripts/burn.lua"),
            read: operation!(" flags=allow-oom", "scripts/read.lua"),
            write: operation!("", "scripts/write.lua"),
            remove: operation!(" flags=allow-oom", "scripts/remove.lua"),
            append: operation!("", "scripts/append.lua"),
            since: operation!(" flags=allow-oom", "scripts/since.lua"),
            greet: operation!(" flags=allow-oom", "scripts/greet.lua"),
        }
    }
}
