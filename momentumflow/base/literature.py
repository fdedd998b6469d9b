"""The literature that results rest on: one entry for each work, cited by `momentumflow.cite`."""

from __future__ import annotations

from dataclasses import dataclass

from momentumflow.base.version import __version__


@dataclass(frozen=True)
class Source:
    """One work.

    Parameters
    ----------
    key : str
        BibTeX key.
    authors : tuple of str
        "Given Family", in order.
    title, where : str
        Title, and the journal, proceedings or publisher.
    year : int
    arxiv, doi : str
        Identifiers, "" if there is none.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    where: str
    year: int
    arxiv: str = ""
    doi: str = ""

    def __str__(self) -> str:
        identifiers = [f"arXiv:{self.arxiv}"] * bool(self.arxiv) + [f"doi:{self.doi}"] * bool(
            self.doi
        )
        where = ", ".join([self.where] * bool(self.where) + [str(self.year), *identifiers])
        # "others" is BibTeX's word.
        names = ", ".join(self.authors).replace(", others", " et al.")
        return f"{names}. {self.title}. {where}."

    def bibtex(self) -> str:
        """Return the work as a BibTeX entry."""
        fields = {
            "author": " and ".join(self.authors),
            "title": "{" + self.title + "}",
            "howpublished": self.where,
            "year": str(self.year),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@misc{{{self.key},", *lines, "}"])


_ALL = (
    Source(
        "momentumflow",
        ("The momentumflow developers",),
        f"momentumflow {__version__}: momentum gradient descent in continuous time",
        "",
        2026,
    ),
    Source(
        "papazov2024",
        ("Hristo Papazov", "Scott Pesme", "Nicolas Flammarion"),
        "Leveraging Continuous Time to Understand Momentum When Training Diagonal Linear Networks",
        "AISTATS, Proceedings of Machine Learning Research 238, 3556-3564",
        2024,
        arxiv="2403.05293",
    ),
    Source(
        "polyak1964",
        ("Boris T. Polyak",),
        "Some methods of speeding up the convergence of iteration methods",
        "USSR Computational Mathematics and Mathematical Physics 4(5)",
        1964,
        doi="10.1016/0041-5553(64)90137-5",
    ),
    Source(
        "nesterov1983",
        ("Yurii Nesterov",),
        "A method of solving a convex programming problem with convergence rate O(1/k^2)",
        "Soviet Mathematics Doklady 27, 372-376",
        1983,
    ),
    Source(
        "ma2019",
        ("Jerry Ma", "Denis Yarats"),
        "Quasi-hyperbolic momentum and Adam for deep learning",
        "ICLR",
        2019,
        arxiv="1810.06801",
    ),
    Source(
        "cattaneo2025",
        ("Matias D. Cattaneo", "Boris Shigida"),
        "Modified Loss of Momentum Gradient Descent: Fine-Grained Analysis",
        "",
        2025,
        arxiv="2509.08483",
    ),
    Source(
        "kovachki2021",
        ("Nikola B. Kovachki", "Andrew M. Stuart"),
        "Continuous Time Analysis of Momentum Methods",
        "Journal of Machine Learning Research 22(17), 1-40",
        2021,
    ),
    Source(
        "ghosh2023",
        ("Avrajit Ghosh", "He Lyu", "Xitong Zhang", "Rongrong Wang"),
        "Implicit regularization in Heavy-ball momentum accelerated stochastic gradient descent",
        "ICLR",
        2023,
        arxiv="2302.00849",
    ),
    Source(
        "hairer2006",
        ("Ernst Hairer", "Christian Lubich", "Gerhard Wanner"),
        "Geometric Numerical Integration",
        "Springer, 2nd edition",
        2006,
        doi="10.1007/3-540-30666-8",
    ),
    Source(
        "hairer1993",
        ("Ernst Hairer", "Syvert P. Nørsett", "Gerhard Wanner"),
        "Solving Ordinary Differential Equations I: Nonstiff Problems",
        "Springer, 2nd edition",
        1993,
        doi="10.1007/978-3-540-78862-1",
    ),
    Source(
        "rosca2023",
        ("Mihaela Rosca", "Yan Wu", "Chongli Qin", "Benoit Dherin"),
        "On a continuous time model of gradient descent dynamics and instability in deep learning",
        "TMLR",
        2023,
        arxiv="2302.01952",
    ),
    Source(
        "li2022",
        ("Zhiyuan Li", "Tianhao Wang", "Jason D. Lee", "Sanjeev Arora"),
        "Implicit Bias of Gradient Descent on Reparametrized Models: "
        "On Equivalence to Mirror Descent",
        "NeurIPS",
        2022,
        arxiv="2207.04036",
    ),
    Source(
        "woodworth2020",
        (
            "Blake Woodworth",
            "Suriya Gunasekar",
            "Jason D. Lee",
            "Edward Moroshko",
            "Pedro Savarese",
            "Itay Golan",
            "Daniel Soudry",
            "Nathan Srebro",
        ),
        "Kernel and Rich Regimes in Overparametrized Models",
        "COLT, Proceedings of Machine Learning Research 125, 3635-3673",
        2020,
        arxiv="2002.09277",
    ),
    Source(
        "wang2023",
        ("Haoyue Wang", "Promit Ghosal", "Rahul Mazumder"),
        "Linear programming using diagonal linear networks",
        "",
        2023,
        arxiv="2310.02535",
    ),
    Source(
        "clara2025",
        ("Gabriel Clara", "Sophie Langer", "Johannes Schmidt-Hieber"),
        "Training Diagonal Linear Networks with Stochastic Sharpness-Aware Minimization",
        "",
        2025,
        arxiv="2503.11891",
    ),
    Source(
        "diamond2016",
        ("Steven Diamond", "Stephen Boyd"),
        "CVXPY: A Python-Embedded Modeling Language for Convex Optimization",
        "Journal of Machine Learning Research 17(83)",
        2016,
        arxiv="1603.00943",
    ),
    Source(
        "goulart2024",
        ("Paul J. Goulart", "Yuwen Chen"),
        "Clarabel: An interior-point solver for conic programs with quadratic objectives",
        "",
        2024,
        arxiv="2405.12762",
    ),
    Source(
        "meurer2017",
        ("Aaron Meurer", "others"),
        "SymPy: symbolic computing in Python",
        "PeerJ Computer Science 3:e103",
        2017,
        doi="10.7717/peerj-cs.103",
    ),
    Source(
        "johansson2017",
        ("Fredrik Johansson",),
        "Arb: Efficient Arbitrary-Precision Midpoint-Radius Interval Arithmetic",
        "IEEE Transactions on Computers 66",
        2017,
        arxiv="1611.02831",
        doi="10.1109/TC.2017.2690633",
    ),
    Source(
        "krawczyk1969",
        ("Rudolf Krawczyk",),
        "Newton-Algorithmen zur Bestimmung von Nullstellen mit Fehlerschranken",
        "Computing 4",
        1969,
        doi="10.1007/BF02234767",
    ),
    Source(
        "efron2004",
        ("Bradley Efron", "Trevor Hastie", "Iain Johnstone", "Robert Tibshirani"),
        "Least angle regression",
        "Annals of Statistics 32(2), 407-499",
        2004,
        doi="10.1214/009053604000000067",
    ),
)

SOURCES = {source.key: source for source in _ALL}
