"""Records of surveys of signal strength and range: one fingerprint a row.

Digests without a remark are of the official files. Where only a copy could be had, the remark says
what the digest is of.
"""

from __future__ import annotations

from twin.measured.data_set import Archive, DataFile, DataSet

WIFI_RTT_ROOMS = DataSet(
    name="wifi_rtt_rooms",
    title="WiFi RSS and RTT in a lecture theatre, an office and a corridor",
    url="https://doi.org/10.5281/zenodo.11558792",
    doi="10.5281/zenodo.11558792",
    api_urls=("https://zenodo.org/api/records/11558792",),
    licence="MIT",
    citation=(
        (
            "Feng, X., Nguyen, K. A., Luo, Z. (2024). WiFi RSS & RTT dataset with different LOS "
            "conditions for indoor positioning. Zenodo. 10.5281/zenodo.11558792"
        ),
        (
            "Feng, X., Nguyen, K. A., Luo, Z. (2024). A WiFi RSS-RTT indoor positioning system "
            "using dynamic model switching algorithm. IEEE Journal of Indoor and Seamless "
            "Positioning and Navigation"
        ),
    ),
    units="X, Y and AP coordinates in grid steps of 0.6 m; RTT in mm, 100000 = none; "
    "RSS in dBm, -200 = none",
    files=(
        DataFile(
            "database_lecture_theatre_train.csv",
            "6db962ee3914a0b49763a7acece7d21401946199aa7e2bc768c4024026c34a18",
            5280,
            88,
        ),
        DataFile(
            "database_lecture_theatre_test.csv",
            "60f249fb563578f307ea62aaba31b78e55866fbb95ef3dca9c6de150ebe867ca",
            1920,
            32,
        ),
        DataFile(
            "database_office_train.csv",
            "a904232ca584c00d91ea84fa00e7d663ce5d410a7d571c7303425a2782d8ac14",
            4860,
            81,
        ),
        DataFile(
            "database_office_test.csv",
            "3d9cde7796e4432e6e72ddddcbfa5866f7e156d9c0a2633d3131c0e6178ae748",
            1620,
            27,
        ),
        DataFile(
            "database_corridor_train.csv",
            "88d84c9a9ec32bc972b833fa7b15bf96805793508a759131ae5827b31890e66c",
            5100,
            85,
        ),
        DataFile(
            "database_corridor_test.csv",
            "49e53f04a133d3237aa57d5e5f507eed233ce6504cf32fbf6f12041d0e4201d8",
            1740,
            29,
        ),
        DataFile(
            "lecture_theatre+office+corridor_AP_position.txt",
            "282088bda2ee46ad8f2d28409f9de06cd757ed61c1a0ed97878adadc304b76ca",
        ),
    ),
)

_TORRES_2014 = (
    "Torres-Sospedra, J., Montoliu, R., Martínez-Usó, A., Avariento, J. P., Arnau, T. J., "
    "Benedito-Bordonau, M., Huerta, J. (2014). UJIIndoorLoc: A new multi-building and multi-floor "
    "database for WLAN fingerprint-based indoor localization problems. IPIN 2014, 261-270. "
    "10.1109/IPIN.2014.7275492"
)
_MENDOZA_SILVA_2018 = (
    "Mendoza-Silva, G. M., Richter, P., Torres-Sospedra, J., Lohan, E. S., Huerta, J. (2018). "
    "Long-Term WiFi Fingerprinting Dataset for Research on Robust Indoor Positioning. "
    "Data 3(1), 3. 10.3390/data3010003"
)

UJI_INDOORLOC = DataSet(
    name="uji_indoorloc",
    title="UJIIndoorLoc: WiFi RSS in three university buildings",
    url="https://doi.org/10.24432/C5MS59",
    doi="10.24432/C5MS59",
    archives=(Archive("https://archive.ics.uci.edu/static/public/310/ujiindoorloc.zip"),),
    licence="CC-BY-4.0",
    citation=(
        _TORRES_2014,
        "UJIIndoorLoc (2014). UCI Machine Learning Repository. 10.24432/C5MS59",
    ),
    units="RSS in dBm, 100 = not heard; LONGITUDE and LATITUDE in metres of a projection",
    files=(
        DataFile(
            "trainingData.csv",
            "45ca0128bd12019c976bb4793e407c979c82995d7a5940ab7288620247905168",
            19_937,
        ),
        DataFile(
            "validationData.csv",
            "5f90c536648cd657b2c516d20c4e0968d4003279ea6bd5d5d5322d3f1e8905c0",
            1_111,
        ),
    ),
    counts={"access_points": 520, "buildings": 3, "silent_rows": 76},
)

# The test RSS at hand was put together again from the collection's TUT3; it has the digest that an
# independent loader (indoorloc on PyPI) lists for the official file, as have all others.
TAMPERE_2017 = DataSet(
    name="tampere_2017",
    title="Tampere 2017: crowdsourced WiFi RSS on five floors",
    url="https://doi.org/10.5281/zenodo.889798",
    doi="10.5281/zenodo.889798",
    api_urls=("https://zenodo.org/api/records/889798",),
    licence="CC-BY-4.0",
    citation=(
        (
            "Lohan, E. S., Torres-Sospedra, J., Leppäkoski, H., Richter, P., Peng, Z., Huerta, J. "
            "(2017). Wi-Fi Crowdsourced Fingerprinting Dataset for Indoor Positioning. "
            "Data 2(4), 32. 10.3390/data2040032"
        ),
    ),
    units="RSS in dBm, 100 = not heard; x, y, z in metres",
    files=(
        DataFile(
            "Training_rss_21Aug17.csv",
            "3bafbedc75fa14d4e96a351ca053884eec44de814b95daf7f10297d3b4148f0c",
            697,
        ),
        DataFile(
            "Training_coordinates_21Aug17.csv",
            "003f6f9ec46f48b49099e0adef329a43a80212eeae2a698c820b43d5eaaa4479",
            697,
        ),
        DataFile(
            "Training_date_21Aug17.csv",
            "424c1ffe313fe45043dbc21030c34886b9ccfbe78029355876b6328ec0b3eedc",
            697,
        ),
        DataFile(
            "Training_device_21Aug17.csv",
            "4c0d9e4e75ab041d2a53230d24199b360fa37360522572fa183a92562a033fb5",
            697,
        ),
        DataFile(
            "Test_rss_21Aug17.csv",
            "1bf4993edb835e635b1a8500cefa0f7b971b48af3ff5a9a0019720016ee2bcf1",
            3_951,
            other_names=("Test_rss_21Aug17.from_TUT3_mat.csv",),
        ),
        DataFile(
            "Test_coordinates_21Aug17.csv",
            "4254f2cf777fc278fa16a9f3715c622bff15c0c48db84db44e6d97373fb23001",
            3_951,
        ),
        DataFile(
            "Test_date_21Aug17.csv",
            "38900ada43241528f8c9457ed18466b2bb5763c4321e7a1f4a127a3a7c4c21c7",
            3_951,
        ),
        DataFile(
            "Test_device_21Aug17.csv",
            "f06983b3269c35a7b3af49ae2cbf7f8d8b49193ff62ad3d0ec66a1a64e393047",
            3_951,
        ),
    ),
    counts={"access_points": 992, "floors": 5, "devices": 21},
)

# Digests of the files at hand: MAT-files of 2018 as the collection carries them, not compared with
# a digest given by its authors.
RSS_COLLECTION = DataSet(
    name="rss_collection",
    title="Collection of WiFi RSS databases: LIB1, LIB2 (a library) and TUT6 (a university)",
    url="https://doi.org/10.5281/zenodo.3751042",
    doi="10.5281/zenodo.3751042",
    api_urls=("https://zenodo.org/api/records/3751042",),
    licence="CC-BY-4.0",
    citation=(
        (
            "Torres-Sospedra, J., Quezada-Gaibor, D., Mendoza-Silva, G. M., Nurmi, J., "
            "Koucheryavy, Y., Huerta, J. (2020). New Cluster Selection and Fine-grained Search for "
            "k-Means Clustering and Wi-Fi Fingerprinting. ICL-GNSS 2020"
        ),
        (
            "Torres-Sospedra, J., Quezada-Gaibor, D., Mendoza-Silva, G. M., Nurmi, J., "
            "Koucheryavy, Y., Huerta, J. (2020). Supplementary Materials for 'New Cluster "
            "Selection and Fine-grained Search for k-Means Clustering and Wi-Fi Fingerprinting'. "
            "Zenodo. "
            "10.5281/zenodo.3751042"
        ),
        f"LIB1 and LIB2: {_MENDOZA_SILVA_2018}",
        (
            "TUT6: Lohan, E. S. (2020). Additional TAU datasets for Wi-Fi fingerprinting-based "
            "positioning. Zenodo. 10.5281/zenodo.3819917"
        ),
    ),
    units="RSS in dBm, 100 = not heard; x, y and altitude in metres, labels of floor and building",
    files=(
        DataFile(
            "LIB1.mat",
            "05a6966cf6dfdbeb91f41bb451ec579f60c5604c49406c58e01778f06689349c",
            576 + 3_120,
            text=False,
        ),
        DataFile(
            "LIB2.mat",
            "bb8d47baa02101dfa3b8a0ff8073fcf5a125af2d210bcf31ab7107355f5200ed",
            576 + 3_120,
            text=False,
        ),
        DataFile(
            "TUT6.mat",
            "72a3d1455b7d3bbc522acc71a033b3add490b856a6efef7ac21c8994a3d1ca26",
            3_116 + 7_269,
            text=False,
        ),
    ),
    counts={
        "LIB1 reference": 576,
        "LIB1 test": 3_120,
        "LIB1 access_points": 174,
        "LIB2 reference": 576,
        "LIB2 test": 3_120,
        "LIB2 access_points": 197,
        "TUT6 reference": 3_116,
        "TUT6 test": 7_269,
        "TUT6 access_points": 652,
    },
    note="the licence named is that of LIB1 and LIB2; for TUT6 see 10.5281/zenodo.3819917",
)

# No copy was at hand: counts are the published ones, and no digest is known.
UTS_INDOORLOC = DataSet(
    name="uts_indoorloc",
    title="UTSIndoorLoc: WiFi RSS in a university building of 16 floors",
    url="https://github.com/XudongSong/UTSIndoorLoc-dataset",
    archives=(
        Archive("https://github.com/XudongSong/UTSIndoorLoc-dataset/archive/refs/heads/master.zip"),
    ),
    licence="none stated",
    citation=(
        (
            "Song, X., Fan, X., Xiang, C., Ye, Q., Liu, L., Wang, Z., He, X., Yang, N., Fang, G. "
            "(2019). A Novel Convolutional Neural Network Based Indoor Localization Framework With "
            "WiFi Fingerprinting. IEEE Access 7, 110698-110709. 10.1109/ACCESS.2019.2933921"
        ),
    ),
    units="RSS in dBm, 100 = not heard; Pos_x and Pos_y in metres",
    files=(DataFile("UTS_training.csv", None, 9_108), DataFile("UTS_test.csv", None, 388)),
    counts={"access_points": 589},
    note="the repository states no licence: ask its authors before you share what you make of it",
)

UJI_LIBRARY_LONGTERM = DataSet(
    name="uji_library_longterm",
    title="WiFi RSS in a library over 25 months",
    url="https://doi.org/10.5281/zenodo.3748719",
    doi="10.5281/zenodo.3748719",
    api_urls=("https://zenodo.org/api/records/3748719",),
    licence="CC-BY-4.0",
    citation=(
        _MENDOZA_SILVA_2018,
        (
            "Mendoza-Silva, G. M., Richter, P., Torres-Sospedra, J., Lohan, E. S., Huerta, J., "
            "Cramariuc, A. (2020). Long-Term Wi-Fi fingerprinting dataset and supporting material, "
            "version 2.2. Zenodo. 10.5281/zenodo.3748719"
        ),
    ),
    units="RSS in dBm, 100 = not heard; x and y in metres, label of the floor",
    files=(
        # All of the archive's folder db in one file; the digest is of that copy.
        DataFile(
            "uji_lib_longterm_v2.npz",
            "82b6b505646d91ff87921812e328f8b4caa522d246e98f5e5eccd615484a8d3c",
            104_160,
            text=False,
            kept=True,
        ),
    ),
    patterns=("db/*/*.csv",),
    counts={
        "reference": 23_040,
        "test": 81_120,
        "access_points": 620,
        "months": 25,
        "without_floor": 6,
    },
)
