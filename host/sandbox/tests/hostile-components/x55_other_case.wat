;; expect: component/world
;; note: an enum of other cases
;; replace (enum "pair" "batch") => (enum "batch" "pair")
