//! The 32 lanes of a warp as one value, and the pure functions that act on all of them at once.
//!
//! A virtual register holds 64 bits a lane, whatever its declared width: what an instruction does not define stays zero.
//! A pure instruction is a plain function from up to four such values to one, chosen when the module is decoded.

/// Lanes of a warp.
pub(crate) const WARP: usize = 32;

/// One 64-bit word for each lane.
pub(crate) type Lanes = [u64; WARP];

/// Which lanes take part: bit `l` stands for lane `l`.
pub(crate) type Mask = u32;

/// An instruction without side effects: what it computes of its up to four sources, in every lane.
pub(crate) type Pure = fn([&Lanes; 4]) -> Lanes;

/// The lanes of a mask, lowest first.
pub(crate) fn lanes_of(mut mask: Mask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let lane = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        Some(lane)
    })
}

/// A value of a PTX type in a 64-bit register.
pub(crate) trait Word: Copy {
    /// The value in the low bits of a register.
    fn of(word: u64) -> Self;
    /// The register that holds this value, the rest zero.
    fn word(self) -> u64;
}

macro_rules! integer_words {
    ($($signed:ty, $unsigned:ty;)*) => {$(
        impl Word for $unsigned {
            fn of(word: u64) -> Self { word as $unsigned }
            fn word(self) -> u64 { u64::from(self) }
        }
        impl Word for $signed {
            fn of(word: u64) -> Self { word as $signed }
            fn word(self) -> u64 { u64::from(self as $unsigned) }
        }
    )*};
}
integer_words! { i8, u8; i16, u16; i32, u32; i64, u64; }

impl Word for f32 {
    fn of(word: u64) -> Self {
        f32::from_bits(word as u32)
    }
    fn word(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Word for f64 {
    fn of(word: u64) -> Self {
        f64::from_bits(word)
    }
    fn word(self) -> u64 {
        self.to_bits()
    }
}

impl Word for bool {
    fn of(word: u64) -> Self {
        word & 1 == 1
    }
    fn word(self) -> u64 {
        u64::from(self)
    }
}

impl Word for half::f16 {
    fn of(word: u64) -> Self {
        half::f16::from_bits(word as u16)
    }
    fn word(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Word for half::bf16 {
    fn of(word: u64) -> Self {
        half::bf16::from_bits(word as u16)
    }
    fn word(self) -> u64 {
        u64::from(self.to_bits())
    }
}

/// A [`Pure`] from a formula for one lane: `lanes!(|a: u32, b: u32| a.wrapping_add(b))`.
macro_rules! lanes {
    (|$a:ident: $ta:ty| $e:expr) => { $crate::lanes::lanes!(@ $e, ($a: $ta, 0)) };
    (|$a:ident: $ta:ty, $b:ident: $tb:ty| $e:expr) => {
        $crate::lanes::lanes!(@ $e, ($a: $ta, 0) ($b: $tb, 1))
    };
    (|$a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty| $e:expr) => {
        $crate::lanes::lanes!(@ $e, ($a: $ta, 0) ($b: $tb, 1) ($c: $tc, 2))
    };
    (|$a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty, $d:ident: $td:ty| $e:expr) => {
        $crate::lanes::lanes!(@ $e, ($a: $ta, 0) ($b: $tb, 1) ($c: $tc, 2) ($d: $td, 3))
    };
    (@ $e:expr, $(($name:ident: $t:ty, $place:literal))*) => {{
        fn op(sources: [&$crate::lanes::Lanes; 4]) -> $crate::lanes::Lanes {
            std::array::from_fn(|lane| {
                $(let $name = <$t as $crate::lanes::Word>::of(sources[$place][lane]);)*
                $crate::lanes::Word::word($e)
            })
        }
        op as $crate::lanes::Pure
    }};
}
pub(crate) use lanes;

/// The same formula for every integer type: `T` is the type, `W` the type of twice its width.
macro_rules! integers {
    ($ty:expr, $($formula:tt)*) => {
        match $ty {
            $crate::ptx::Type::U8 | $crate::ptx::Type::B8 => $crate::lanes::integers!(@ u8, u16, $($formula)*),
            $crate::ptx::Type::S8 => $crate::lanes::integers!(@ i8, i16, $($formula)*),
            $crate::ptx::Type::U16 | $crate::ptx::Type::B16 => $crate::lanes::integers!(@ u16, u32, $($formula)*),
            $crate::ptx::Type::S16 => $crate::lanes::integers!(@ i16, i32, $($formula)*),
            $crate::ptx::Type::U32 | $crate::ptx::Type::B32 => $crate::lanes::integers!(@ u32, u64, $($formula)*),
            $crate::ptx::Type::S32 => $crate::lanes::integers!(@ i32, i64, $($formula)*),
            $crate::ptx::Type::U64 | $crate::ptx::Type::B64 => $crate::lanes::integers!(@ u64, u128, $($formula)*),
            $crate::ptx::Type::S64 => $crate::lanes::integers!(@ i64, i128, $($formula)*),
            _ => return None,
        }
    };
    (@ $t:ty, $w:ty, $($formula:tt)*) => {{
        #[allow(dead_code, reason = "not every formula needs both types")]
        type T = $t;
        #[allow(dead_code, reason = "not every formula needs both types")]
        type W = $w;
        $crate::lanes::lanes!($($formula)*)
    }};
}
pub(crate) use integers;
