;; expect: run/fuel
;; note: the clean-up loops after good numbers
;; slot evaluate-post
(loop $x (br $x))
