//! Requests to stop: the first lets training save a checkpoint, the second ends the program at once.

/// The exit code of the contract for an interrupted program.
const INTERRUPTED: i32 = 130;

#[cfg(unix)]
mod system {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, OnceLock};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;

    static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

    pub fn listen() {
        let asked = ASKED.get_or_init(Arc::default);
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)) {
            // In this order, so that the first signal finds the flag not set. A signal that cannot be listened
            // to ends the program as it always did.
            let _ = flag::register_conditional_shutdown(signal, super::INTERRUPTED, asked.clone())
                .and_then(|_| flag::register(signal, asked.clone()));
        }
    }

    pub fn asked() -> bool {
        ASKED.get().is_some_and(|asked| asked.load(Ordering::SeqCst))
    }

    /// Whether the program was started with the signal ignored, as `nohup` does, which must remain so.
    fn is_ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        match mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
            Some(mask) => mask >> (signal - 1) & 1 == 1,
            // Where the system does not say: `nohup` leaves no terminal that could hang up.
            None => signal == SIGHUP && !std::io::IsTerminal::is_terminal(&std::io::stderr()),
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    pub fn listen() {
        // Without a handler, Ctrl-C ends the program as it always did.
        let _ = ctrlc::set_handler(|| {
            if ASKED.fetch_add(1, Ordering::SeqCst) > 0 {
                std::process::exit(super::INTERRUPTED);
            }
        });
    }

    pub fn asked() -> bool {
        ASKED.load(Ordering::SeqCst) > 0
    }
}

/// Listens from now on: to Ctrl-C, and on Unix to SIGTERM and SIGHUP too. What was ignored when the program
/// started remains ignored.
pub fn listen() {
    system::listen();
}

/// Whether the user or the system has asked the program to stop.
pub fn asked() -> bool {
    system::asked()
}
