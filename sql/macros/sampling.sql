-- A number between 0 and 1 that is the same for the same key.
CREATE MACRO uniform_noise(key) AS (md5_number_lower(key) + 0.5) / 18446744073709551616.0;

-- Noise of the standard Gumbel distribution that is the same for the same key. The documents of the k largest sums of log
-- weight and such noise are a sample of k without replacement by weight (Vieira 2014; Kool et al., ICML 2019).
CREATE MACRO gumbel_noise(key) AS -ln(-ln(uniform_noise(key)));
