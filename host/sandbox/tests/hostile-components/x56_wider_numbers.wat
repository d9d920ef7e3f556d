;; expect: component/world
;; note: token counts of 64 bits
;; replace (list u32) => (list u64)
