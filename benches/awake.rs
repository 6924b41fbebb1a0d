//! Keeps a processor awake and does nothing: run at idle priority, it gives way to whatever wants the processor.
//!
//! A virtual processor that has halted is woken from outside the machine, which costs whoever wakes it several microseconds. A proxy that
//! waits for nobody pays that for every reply it writes while the load has nothing to do, so it pays more the slower it is, and for
//! nothing that a machine without a hypervisor would know. `scripts/awake` builds and runs this.

fn main() {
    loop {
        // The instruction that says so: another processor on the same core gets nearly all of it.
        std::hint::spin_loop();
    }
}
