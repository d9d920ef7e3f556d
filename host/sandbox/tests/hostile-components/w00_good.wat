;; expect: accepted
;; note: correct plugin, an IPO-like square
