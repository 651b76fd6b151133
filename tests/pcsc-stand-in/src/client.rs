//! The test program's end of the channel into the library: [`StandIn`], in a process of its own.
//!
//! ```no_run
//! # use pcsc_stand_in::isolated;
//! // A #[test] of a program that loads libjpki_pkcs11.so and does not link the crate of that name.
//! fn a_card_is_seen() {
//!     isolated!(|stand_in| {
//!         stand_in.add_reader("Virtual Reader 00 00");
//!         stand_in.new_card("mine", "full");
//!         stand_in.insert("Virtual Reader 00 00", "mine");
//!         let module = test_support::library::beside("libjpki_pkcs11.so");
//!         // load the module, log in, sign …
//!         assert_eq!(stand_in.power().0.resets, 0);
//!     });
//! }
//! ```

mod isolation;
mod loading;
mod requests;

pub use self::isolation::{Isolated, isolated};
use self::loading::Command;
pub use self::loading::{library, library_directory};
pub use self::requests::ForeignHold;

/// The service of this process, through the library that holds it. Text that is asked for in names
/// of readers may have any byte but NUL and TAB. Every method panics when the request goes wrong,
/// but those that return a result.
#[derive(Debug, Clone, Copy)]
pub struct StandIn {
    command: Command,
}

/// Runs a test in a process of its own, under the stand-in: see
/// [`client::isolated`](crate::client::isolated()). The test's name is found from where the macro
/// stands, which must be the test function itself.
#[macro_export]
macro_rules! isolated {
    ($body:expr) => {
        $crate::isolated!($crate::client::Isolated::new(), $body)
    };
    ($options:expr, $body:expr) => {{
        fn here() {}
        $options.run(::std::any::type_name_of_val(&here), $body)
    }};
}
