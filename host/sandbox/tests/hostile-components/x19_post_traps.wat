;; expect: run/trap
;; note: the clean-up traps after good numbers
;; slot evaluate-post
unreachable
