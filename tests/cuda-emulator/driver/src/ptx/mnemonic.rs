//! An instruction's name with its modifiers, `ld.global.nc.v4.f32`, and the types among them.

/// A fundamental or packed type of PTX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "these are PTX's own names")]
pub(crate) enum Type {
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    F32,
    F64,
    Pred,
}

impl Type {
    /// The type of this name, without the dot.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "b8" => Self::B8,
            "b16" => Self::B16,
            "b32" => Self::B32,
            "b64" => Self::B64,
            "b128" => Self::B128,
            "u8" => Self::U8,
            "u16" => Self::U16,
            "u32" => Self::U32,
            "u64" => Self::U64,
            "s8" => Self::S8,
            "s16" => Self::S16,
            "s32" => Self::S32,
            "s64" => Self::S64,
            "f16" => Self::F16,
            "f16x2" => Self::F16x2,
            "bf16" => Self::Bf16,
            "bf16x2" => Self::Bf16x2,
            "f32" => Self::F32,
            "f64" => Self::F64,
            "pred" => Self::Pred,
            _ => return None,
        })
    }

    /// Width in bytes; a predicate counts as one.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::B8 | Self::U8 | Self::S8 | Self::Pred => 1,
            Self::B16 | Self::U16 | Self::S16 | Self::F16 | Self::Bf16 => 2,
            Self::B32 | Self::U32 | Self::S32 | Self::F32 | Self::F16x2 | Self::Bf16x2 => 4,
            Self::B64 | Self::U64 | Self::S64 | Self::F64 => 8,
            Self::B128 => 16,
        }
    }

    /// Width in bits.
    pub(crate) fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// Whether a value of this type is widened with its sign.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::S8 | Self::S16 | Self::S32 | Self::S64)
    }
}

/// The first word of a statement, split at its dots.
#[derive(Debug)]
pub(crate) struct Mnemonic<'a> {
    /// The whole word.
    pub(crate) text: &'a str,
    parts: Vec<&'a str>,
}

impl<'a> Mnemonic<'a> {
    /// Splits `text` at its dots.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, parts: text.split('.').collect() }
    }

    /// What comes before the first dot.
    pub(crate) fn base(&self) -> &'a str {
        self.parts[0]
    }

    /// Whether this is one of the modifiers.
    pub(crate) fn has(&self, modifier: &str) -> bool {
        self.parts[1..].contains(&modifier)
    }

    /// The modifier at this place, counted from 1; empty where there is none.
    pub(crate) fn part(&self, place: usize) -> &'a str {
        self.parts.get(place).copied().unwrap_or("")
    }

    /// The first modifier that `choose` knows.
    pub(crate) fn find<T>(&self, choose: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.parts[1..].iter().find_map(|part| choose(part))
    }

    /// All types among the modifiers, in order.
    pub(crate) fn types(&self) -> Vec<Type> {
        self.parts[1..].iter().filter_map(|part| Type::parse(part)).collect()
    }

    /// The last type: that of the operands. An instruction without one is taken as `.b32`.
    pub(crate) fn ty(&self) -> Type {
        self.types().last().copied().unwrap_or(Type::B32)
    }

    /// The first type: that of the result.
    pub(crate) fn result_type(&self) -> Type {
        self.types().first().copied().unwrap_or(Type::B32)
    }
}
