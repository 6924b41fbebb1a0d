//! Keeps a processor at work and does nothing: it gives way, always, to whatever else wants the processor.
//!
//! Who wakes a task on another processor has to interrupt that one, be it asleep or at something less urgent, and between virtual
//! processors an interrupt costs several microseconds. A proxy pays that for what it writes while the load has nothing to do, so the
//! slower it is the more it pays, twice a request at worst, and for nothing that it would meet in use, where clients and services
//! are on machines of their own. The load runs under the policy `batch`, which takes a processor from nobody: woken, it stands in
//! line without an interrupt, and this gives way to it within a microsecond. `scripts/awake` builds and runs this.

fn main() {
    loop {
        std::thread::yield_now();
    }
}
