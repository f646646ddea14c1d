/* The loops over reps. Each is compiled twice, the second time for processors with AVX2 and FMA; whichever fits is taken
   when the library is loaded. */

#include <math.h>
#include <stddef.h>

#if defined(__GLIBC__) && defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
#define FOR_EACH_PROCESSOR __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define FOR_EACH_PROCESSOR
#endif

#define LANES 16 /* sums side by side: one alone would wait for itself */

FOR_EACH_PROCESSOR
static void add_row(double *restrict to, const double *restrict row, double weight, ptrdiff_t n)
{
    for (ptrdiff_t r = 0; r < n; r++)
        to[r] += weight * row[r];
}

FOR_EACH_PROCESSOR
static void add_single(float *restrict to, const float *restrict row, float weight, ptrdiff_t n)
{
    for (ptrdiff_t r = 0; r < n; r++)
        to[r] += weight * row[r];
}

FOR_EACH_PROCESSOR
static double dot(const double *restrict one, const double *restrict other, ptrdiff_t n)
{
    double sums[LANES] = {0}, total = 0;
    ptrdiff_t r = 0;
    for (; r + LANES <= n; r += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += one[r + lane] * other[r + lane];
    for (; r < n; r++)
        total += one[r] * other[r];
    for (int lane = 0; lane < LANES; lane++)
        total += sums[lane];
    return total;
}

/* 1 / (1 + exp(-eta)) */
FOR_EACH_PROCESSOR
static void logistic(const double *restrict eta, double *restrict p, ptrdiff_t n)
{
    for (ptrdiff_t r = 0; r < n; r++)
        p[r] = exp(-eta[r]);
    for (ptrdiff_t r = 0; r < n; r++)
        p[r] = 1 / (1 + p[r]);
}

/* share * (p_here - p_r) / (eta_here - eta_r) of each eligible r, p (1 - p) where the two meet; returns their sum. */
FOR_EACH_PROCESSOR
static double secants(const double *restrict eta, const double *restrict p, const unsigned char *restrict eligible,
                      ptrdiff_t here, double share, double *restrict found, ptrdiff_t n)
{
    const double eta_here = eta[here], p_here = p[here], met = p_here * (1 - p_here);
    double total = 0;
    for (ptrdiff_t r = 0; r < n; r++) {
        const double gap = eta_here - eta[r];
        const int apart = fabs(gap) > 1e-9;
        found[r] = (apart ? p_here - p[r] : met) / (apart ? gap : 1) * (share * eligible[r]);
        total += found[r];
    }
    return total;
}
