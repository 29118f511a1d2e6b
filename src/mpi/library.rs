//! The MPI library of this machine, loaded when it is asked for. The only place that calls it.
//!
//! Three binary interfaces are known: that of the MPI 5.0 standard, MPICH's (Intel MPI and MVAPICH share it)
//! and Open MPI's. They have the same functions and differ in what a handle is and in the values of constants,
//! which are from `mpi_abi.h` and `mpi.h` of MPICH 5.0.2 and `mpi.h` of Open MPI 4.1.4.
#![allow(unsafe_code, reason = "functions of a C library")]

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_LOCAL};

use super::{Calls, Found, MpiError};

/// Bytes of the longest text a library returns: the largest `MPI_MAX_LIBRARY_VERSION_STRING`.
const TEXT: usize = 8192;
/// Names to try, in this order; `libmpich.so.12` is Debian's for MPICH.
const NAMES: [&str; 4] = ["libmpi_abi.so.1", "libmpi.so.12", "libmpich.so.12", "libmpi.so.40"];
/// Names on macOS.
const NAMES_MACOS: [&str; 3] = ["libmpi_abi.1.dylib", "libmpi.12.dylib", "libmpi.40.dylib"];

/// Opens the library that `path` names, or the first that is installed; where Open MPI started the process,
/// Open MPI's is tried first.
///
/// # Errors
/// If there is none, or it lacks a function.
pub(super) fn open(path: Option<&str>, open_mpi_first: bool) -> Result<(Box<dyn Calls>, Found), MpiError> {
    let mut names: Vec<&str> = if cfg!(target_os = "macos") { NAMES_MACOS.into() } else { NAMES.into() };
    if open_mpi_first {
        names.rotate_right(1);
    }
    if let Some(path) = path {
        names = vec![path];
    }
    let mut reasons = vec![];
    for &name in &names {
        // Plug-ins of Open MPI look for the library's own symbols; on macOS only global ones are found.
        let flags = RTLD_LAZY | if cfg!(target_os = "macos") { RTLD_GLOBAL } else { RTLD_LOCAL };
        // SAFETY: initialisers of an MPI library have no precondition; the library is never unloaded.
        match unsafe { Library::open(Some(name), flags) } {
            Ok(library) => return of(library, name),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(MpiError::NotFound { tried: names.join(", "), reason: reasons.join("; ") })
}

/// The functions of an opened library, by its interface.
fn of(library: Library, name: &str) -> Result<(Box<dyn Calls>, Found), MpiError> {
    type Pointer = *mut c_void;
    let address = |symbol: &str| -> Result<Pointer, MpiError> {
        // SAFETY: only the address of the object is taken.
        let found = unsafe { library.get::<Pointer>(symbol.as_bytes()) };
        found
            .map(|symbol| symbol.into_raw())
            .map_err(|e| MpiError::Unusable { library: name.into(), reason: e.to_string() })
    };
    let ((calls, version), abi) = if has_standard_abi(&library) {
        let handle = |value: usize| std::ptr::without_provenance_mut::<c_void>(value);
        let handles = Handles { world: handle(0x101), byte: handle(0x247), errors_return: handle(0x143) };
        (load(&library, name, handles, 1024)?, "MPI 5 standard")
    } else if address("ompi_mpi_comm_world").is_ok() {
        let handles = Handles {
            world: address("ompi_mpi_comm_world")?,
            byte: address("ompi_mpi_byte")?,
            errors_return: address("ompi_mpi_errors_return")?,
        };
        (load(&library, name, handles, 1)?, "Open MPI")
    } else {
        let handles: Handles<c_int> =
            Handles { world: 0x4400_0000, byte: 0x4c00_010d, errors_return: 0x5400_0001 };
        (load(&library, name, handles, 1)?, "MPICH")
    };
    // Its threads and exit handlers may outlive every owner.
    std::mem::forget(library);
    let found = Found { library: name.into(), abi: abi.into(), version };
    Ok((calls, found))
}

/// The functions with handles of one kind, and the library's version.
fn load<H: Copy + 'static>(
    library: &Library,
    name: &str,
    handles: Handles<H>,
    funneled: c_int,
) -> Result<(Box<dyn Calls>, String), MpiError> {
    let functions = Functions::load(library, name, handles, funneled)?;
    let version = functions.version();
    Ok((Box::new(functions), version))
}

/// Whether the library says that it has the interface of the standard.
fn has_standard_abi(library: &Library) -> bool {
    type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
    let (mut major, mut minor) = (-1, -1);
    // SAFETY: the type is the function's declaration in mpi_abi.h.
    let Ok(version) = (unsafe { library.get::<Version>(b"MPI_Abi_get_version") }) else { return false };
    // SAFETY: it may be called before MPI_Init, and writes two ints.
    let code = unsafe { version(&raw mut major, &raw mut minor) };
    code == 0 && major > 0
}

/// Handles of predefined objects: pointers, or integers with MPICH.
struct Handles<H> {
    world: H,
    byte: H,
    errors_return: H,
}

type Init = unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> c_int;
type Number<H> = unsafe extern "C" fn(H, *mut c_int) -> c_int;
type Broadcast<H> = unsafe extern "C" fn(*mut c_void, c_int, H, c_int, H) -> c_int;
type Exchange<H> = unsafe extern "C" fn(*const c_void, c_int, H, *mut c_void, c_int, H, H) -> c_int;

/// The functions that are used, and the handles they are given.
struct Functions<H> {
    handles: Handles<H>,
    funneled: c_int,
    init_thread: Init,
    finalize: unsafe extern "C" fn() -> c_int,
    comm_size: Number<H>,
    comm_rank: Number<H>,
    set_errhandler: unsafe extern "C" fn(H, H) -> c_int,
    bcast: Broadcast<H>,
    alltoall: Exchange<H>,
    allgather: Exchange<H>,
    abort: unsafe extern "C" fn(H, c_int) -> c_int,
    error_string: unsafe extern "C" fn(c_int, *mut c_char, *mut c_int) -> c_int,
    library_version: unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int,
    /// MPI is called from one thread.
    one_thread: PhantomData<*const ()>,
}

impl<H: Copy> Functions<H> {
    fn load(library: &Library, name: &str, handles: Handles<H>, funneled: c_int) -> Result<Self, MpiError> {
        macro_rules! function {
            ($symbol:literal) => {
                // SAFETY: the field's type is the function's declaration in mpi.h, with `H` for handles.
                *unsafe { library.get($symbol.as_bytes()) }
                    .map_err(|e| MpiError::Unusable { library: name.into(), reason: e.to_string() })?
            };
        }
        Ok(Self {
            handles,
            funneled,
            init_thread: function!("MPI_Init_thread"),
            finalize: function!("MPI_Finalize"),
            comm_size: function!("MPI_Comm_size"),
            comm_rank: function!("MPI_Comm_rank"),
            set_errhandler: function!("MPI_Comm_set_errhandler"),
            bcast: function!("MPI_Bcast"),
            alltoall: function!("MPI_Alltoall"),
            allgather: function!("MPI_Allgather"),
            abort: function!("MPI_Abort"),
            error_string: function!("MPI_Error_string"),
            library_version: function!("MPI_Get_library_version"),
            one_thread: PhantomData,
        })
    }

    /// The first line of what the library says of itself.
    fn version(&self) -> String {
        let all = text(|buffer, length| {
            // SAFETY: may be called before MPI_Init; the buffer has MPI_MAX_LIBRARY_VERSION_STRING bytes.
            unsafe { (self.library_version)(buffer, length) }
        });
        let words: Vec<&str> = all.lines().next().unwrap_or_default().split_whitespace().collect();
        let line = words.join(" ");
        line.split(", package").next().unwrap_or_default().trim_end_matches(',').into()
    }

    /// The text of a code that is not `MPI_SUCCESS`.
    fn check(&self, call: &'static str, code: c_int) -> Result<(), MpiError> {
        if code == 0 {
            return Ok(());
        }
        let reason = text(|buffer, length| {
            // SAFETY: the buffer is longer than MPI_MAX_ERROR_STRING of every interface.
            unsafe { (self.error_string)(code, buffer, length) }
        });
        Err(MpiError::Failed { call, reason })
    }

    /// The size or rank in the world.
    fn number(&self, call: &'static str, function: Number<H>) -> Result<usize, MpiError> {
        let mut number = 0;
        // SAFETY: MPI is initialised, the handle is the world's, and one int is written.
        self.check(call, unsafe { function(self.handles.world, &raw mut number) })?;
        usize::try_from(number).map_err(|e| MpiError::Failed { call, reason: e.to_string() })
    }

    /// An exchange in which each rank sends `words` words to each.
    fn exchange(
        &self,
        (call, function): (&'static str, Exchange<H>),
        sent: &[u32],
        words: usize,
        received: &mut [u32],
    ) -> Result<(), MpiError> {
        let bytes = bytes(call, words)?;
        let Handles { world, byte, .. } = self.handles;
        // SAFETY: the caller checked that both slices have the words that `bytes` says for every rank; they
        // do not overlap, and the call returns when it is done with them.
        let code = unsafe {
            function(sent.as_ptr().cast(), bytes, byte, received.as_mut_ptr().cast(), bytes, byte, world)
        };
        self.check(call, code)
    }
}

impl<H: Copy> Calls for Functions<H> {
    fn init(&self) -> Result<(usize, usize), MpiError> {
        let mut provided = 0;
        let none = std::ptr::null_mut();
        // SAFETY: null for `argc` and `argv` is allowed since MPI 2; called once, before all others.
        let code =
            unsafe { (self.init_thread)(none, std::ptr::null_mut(), self.funneled, &raw mut provided) };
        self.check("MPI_Init_thread", code)?;
        // SAFETY: MPI is initialised, and both handles are predefined.
        let code = unsafe { (self.set_errhandler)(self.handles.world, self.handles.errors_return) };
        self.check("MPI_Comm_set_errhandler", code)?;
        Ok((self.number("MPI_Comm_size", self.comm_size)?, self.number("MPI_Comm_rank", self.comm_rank)?))
    }

    fn broadcast(&self, words: &mut [u32]) -> Result<(), MpiError> {
        let count = bytes("MPI_Bcast", words.len())?;
        let Handles { world, byte, .. } = self.handles;
        // SAFETY: the slice has so many bytes, and the call returns when it is done with it.
        let code = unsafe { (self.bcast)(words.as_mut_ptr().cast(), count, byte, 0, world) };
        self.check("MPI_Bcast", code)
    }

    fn all_to_all(&self, sent: &[u32], words: usize, received: &mut [u32]) -> Result<(), MpiError> {
        assert!(sent.len() == received.len() && sent.len().is_multiple_of(words.max(1)));
        self.exchange(("MPI_Alltoall", self.alltoall), sent, words, received)
    }

    fn all_gather(&self, sent: &[u32], received: &mut [u32]) -> Result<(), MpiError> {
        assert!(received.len().is_multiple_of(sent.len().max(1)));
        self.exchange(("MPI_Allgather", self.allgather), sent, sent.len(), received)
    }

    fn abort(&self, code: u8) {
        // SAFETY: MPI is initialised. It does not return if it succeeds.
        unsafe { (self.abort)(self.handles.world, c_int::from(code)) };
    }

    fn finalize(&self) {
        // SAFETY: no call is in progress, and none follows.
        unsafe { (self.finalize)() };
    }
}

/// What a function writes into a buffer of [`TEXT`] bytes.
fn text(write: impl FnOnce(*mut c_char, *mut c_int) -> c_int) -> String {
    let mut buffer = vec![0u8; TEXT + 1];
    let mut length = 0;
    if write(buffer.as_mut_ptr().cast(), &raw mut length) != 0 {
        return String::new();
    }
    let length = buffer.iter().position(|&byte| byte == 0).unwrap_or(TEXT);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Bytes of so many words, as MPI counts them.
fn bytes(call: &'static str, words: usize) -> Result<c_int, MpiError> {
    let reason = || MpiError::Failed { call, reason: format!("{words} words are too many for one call") };
    words.checked_mul(4).and_then(|bytes| c_int::try_from(bytes).ok()).ok_or_else(reason)
}
