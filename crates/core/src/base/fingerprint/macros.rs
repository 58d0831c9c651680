//! The macro that takes a type apart.

/// Implements [`Fingerprint`](crate::base::fingerprint::Fingerprint) for a type, with each of its
/// fields and variants named: what is added to the type does not compile until it is named here.
///
/// A struct lists its fields behind the encoding by which they count; see
/// [the table](crate::base::fingerprint). What is left out has a reason.
///
/// ```
/// # use qoslab_core::base::Time;
/// # use qoslab_core::impl_fingerprint;
/// struct Session {
///     queued: Vec<u32>,
///     expires_at: Time,
///     client_id: String,
/// }
///
/// impl_fingerprint! {
///     struct Session {
///         plain queued;
///         future_only expires_at;
///         skip client_id: "the same in all states of a trial";
///     }
/// }
/// ```
///
/// A forgotten field is an error of the compiler:
///
/// ```compile_fail,E0027
/// # use qoslab_core::base::Time;
/// # use qoslab_core::impl_fingerprint;
/// struct Session {
///     queued: Vec<u32>,
///     expires_at: Time,
/// }
///
/// impl_fingerprint! {
///     struct Session {
///         plain queued;
///     }
/// }
/// ```
///
/// So is a field that is left out without a reason:
///
/// ```compile_fail,E0599
/// # use qoslab_core::impl_fingerprint;
/// struct Session {
///     queued: Vec<u32>,
/// }
///
/// impl_fingerprint! {
///     struct Session {
///         skip queued;
///     }
/// }
/// ```
///
/// In a tuple struct the places get names. In an enum all fields count as they are; one without
/// any fields is named alone, and does not compile once it gets one.
///
/// ```
/// # use qoslab_core::impl_fingerprint;
/// struct Id(u16);
///
/// enum Answer {
///     None,
///     Ack(Id),
///     Refused { id: Id, code: u8 },
/// }
///
/// #[derive(Clone, Copy)]
/// enum Side {
///     Client,
///     Broker,
/// }
///
/// impl_fingerprint! { struct Id(number) { plain number; } }
/// impl_fingerprint! { enum Answer { None, Ack(id), Refused { id, code } } }
/// impl_fingerprint! { fieldless Side }
/// ```
#[macro_export]
macro_rules! impl_fingerprint {
    (
        struct $name:ident $(<$($param:ident),+>)? {
            $($how:ident $(($by:path))? $($field:ident),+ $(: $why:literal)?;)*
        }
    ) => {
        impl $(<$($param: $crate::base::fingerprint::Fingerprint),+>)?
            $crate::base::fingerprint::Fingerprint for $name $(<$($param),+>)?
        {
            fn fingerprint(&self, into: &mut $crate::base::fingerprint::Fingerprinter) {
                let Self { $($($field,)+)* } = self;
                $($crate::impl_fingerprint!(
                    @count into $how $(($by))? [$($field),+] $(: $why)?
                );)*
            }
        }
    };
    (
        struct $name:ident ($($position:ident),+) {
            $($how:ident $(($by:path))? $($field:ident),+ $(: $why:literal)?;)*
        }
    ) => {
        impl $crate::base::fingerprint::Fingerprint for $name {
            #[deny(unused_variables)]
            fn fingerprint(&self, into: &mut $crate::base::fingerprint::Fingerprinter) {
                let Self($($position),+) = self;
                $($crate::impl_fingerprint!(
                    @count into $how $(($by))? [$($field),+] $(: $why)?
                );)*
            }
        }
    };
    (
        enum $name:ident {
            $($variant:ident $(($($position:ident),+))? $({ $($field:ident),+ })?),+ $(,)?
        }
    ) => {
        impl $crate::base::fingerprint::Fingerprint for $name {
            fn fingerprint(&self, into: &mut $crate::base::fingerprint::Fingerprinter) {
                match self {
                    $(Self::$variant $(($($position),+))? $({ $($field),+ })? => {
                        into.plain(stringify!($variant));
                        $($(into.plain($position);)+)?
                        $($(into.plain($field);)+)?
                    })+
                }
            }
        }
    };
    (fieldless $($name:ident),+) => {$(
        impl $crate::base::fingerprint::Fingerprint for $name {
            fn fingerprint(&self, into: &mut $crate::base::fingerprint::Fingerprinter) {
                into.plain(&(*self as u8));
            }
        }
    )+};
    (@count $into:ident skip [$($field:ident),+] : $why:literal) => {
        let _ = ($($field,)+);
    };
    (@count $into:ident with ($by:path) [$($field:ident),+]) => {
        $($by($field, $into);)+
    };
    (@count $into:ident $how:ident [$($field:ident),+]) => {
        $($into.$how($field);)+
    };
}
